package operations

// Paths from the repository's root.
const (
	RulesFile     = "deploy/chart/quash/files/alerts.yaml"
	RuleTests     = "deploy/alerts/*.yaml"
	DashboardFile = "deploy/chart/quash/files/dashboard.json"
	RunbookFile   = "docs/operations.md"
	MetricsFile   = "docs/reference/metrics.md"
)
