// Uses SlashID's own SDK with the base URL of quash.
import { SSR } from "@slashid/slashid";

// logout ends a user's session through the drop-in route of the quash at baseURL. The SDK
// ignores errors, so the token may still be alive afterwards. Use sure.js to check.
export async function logout(baseURL, token) {
  const user = new SSR.User(token, {
    environment: { baseURL, sdkURL: "https://cdn.slashid.com/sdk.html" },
  });
  await user.logout();
}
