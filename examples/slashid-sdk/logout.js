// SlashID's own SDK, of which only the base URL is another.
import { SSR } from "@slashid/slashid";

// logout ends the session of a user at the drop-in route of the quash at baseURL. The SDK
// ignores what it is told, so the token may be alive afterwards: sure.js makes sure.
export async function logout(baseURL, token) {
  const user = new SSR.User(token, {
    environment: { baseURL, sdkURL: "https://cdn.slashid.com/sdk.html" },
  });
  await user.logout();
}
