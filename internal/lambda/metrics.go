package lambda

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Namespace of the metrics in CloudWatch.
const Namespace = "Gatepass"

// The metrics, each a count with the dimension Stage. docs/settings.md says what
// they count.
const (
	MetricJoins           = "Joins"
	MetricDenied          = "Denied"
	MetricSignerFailures  = "SignerFailures"
	MetricStoreFailures   = "StoreFailures"
	MetricStaleKeySets    = "StaleKeySets"
	MetricRefreshFailures = "RefreshFailures"
)

// Metrics writes lines in CloudWatch's embedded metric format: Lambda's log is
// what they are taken from, so counting costs no call. It is safe for concurrent use.
type Metrics struct {
	stage string
	now   func() time.Time
	mu    sync.Mutex
	out   io.Writer
}

// NewMetrics returns Metrics that writes to out, in production os.Stdout.
func NewMetrics(stage string, now func() time.Time, out io.Writer) *Metrics {
	return &Metrics{stage: stage, now: now, out: out}
}

// CountJoin writes the line of one join; it is a join.Config's Count. Metrics that
// did not occur are written as 0: an alarm then tells "none" from "no data".
func (m *Metrics) CountJoin(code string, _ bool) {
	count := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	status := api.Code(code).Status()
	m.write([]metric{
		{MetricJoins, 1},
		{MetricDenied, count(code != store.CodeOK && status >= 400 && status < 500)},
		{MetricSignerFailures, count(code == string(api.CodeSignerUnavailable))},
		{MetricStoreFailures, count(code == string(api.CodeStoreUnavailable))},
		{MetricStaleKeySets, count(code == string(api.CodeIssuerKeysUnavailable))},
	}, map[string]any{"Code": code})
}

// CountRefresh writes the line of one refresh.
func (m *Metrics) CountRefresh(stale, failed int) {
	m.write([]metric{{MetricStaleKeySets, stale}, {MetricRefreshFailures, failed}}, nil)
}

type metric struct {
	name  string
	value int
}

// write writes one line: the definition under _aws, and the values that it names.
// A line that cannot be written is a count lost, which must not fail a join.
func (m *Metrics) write(metrics []metric, line map[string]any) {
	if line == nil {
		line = map[string]any{}
	}
	definitions := make([]map[string]string, len(metrics))
	for i, c := range metrics {
		definitions[i] = map[string]string{"Name": c.name, "Unit": "Count"}
		line[c.name] = c.value
	}
	line["Stage"] = m.stage
	line["_aws"] = map[string]any{
		"Timestamp": m.now().UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace": Namespace, "Dimensions": [][]string{{"Stage"}}, "Metrics": definitions,
		}},
	}
	text, err := json.Marshal(line)
	if err != nil { // it holds nothing that cannot be encoded
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = m.out.Write(append(text, '\n'))
}
