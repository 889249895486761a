package lambda_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// emf is a line of CloudWatch's embedded metric format.
type emf struct {
	AWS struct {
		Timestamp         int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	} `json:"_aws"`
}

// metricsOf checks a line's form and returns its metrics.
func metricsOf(t *testing.T, line []byte) map[string]int {
	t.Helper()
	var e emf
	must(t, json.Unmarshal(line, &e))
	var values map[string]any
	must(t, json.Unmarshal(line, &values))
	if len(e.AWS.CloudWatchMetrics) != 1 || e.AWS.Timestamp != 1768478400000 || values["Stage"] != "test" {
		t.Fatalf("%s", line)
	}
	d := e.AWS.CloudWatchMetrics[0]
	if d.Namespace != "Gatepass" || !cmp.Equal(d.Dimensions, [][]string{{"Stage"}}) {
		t.Errorf("%s", line)
	}
	metrics := map[string]int{}
	for _, m := range d.Metrics {
		n, ok := values[m.Name].(float64)
		if !ok || m.Unit != "Count" {
			t.Errorf("metric %s in %s", m.Name, line)
		}
		metrics[m.Name] = int(n)
	}
	return metrics
}

func TestMetrics(t *testing.T) {
	var out bytes.Buffer
	m := lambda.NewMetrics("test", func() time.Time { return time.Unix(1768478400, 0) }, &out)
	codes := map[string]int{store.CodeOK: 200}
	for code, status := range api.Codes() {
		codes[string(code)] = status
	}
	for code, status := range codes {
		out.Reset()
		m.CountJoin(code, true)
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Fatalf("%d lines: %s", n, &out)
		}
		is := map[string]bool{
			lambda.MetricJoins: true, lambda.MetricDenied: status >= 400 && status < 500,
			lambda.MetricSignerFailures: code == "signer_unavailable", lambda.MetricStoreFailures: code == "store_unavailable",
			lambda.MetricStaleKeySets: code == "issuer_keys_unavailable",
		}
		got := metricsOf(t, out.Bytes())
		for name, counts := range is {
			if (got[name] == 1) != counts {
				t.Errorf("%s: %s is %d", code, name, got[name])
			}
		}
		if len(got) != len(is) {
			t.Errorf("%s: %v", code, got)
		}
		if !strings.Contains(out.String(), `"Code":"`+code+`"`) {
			t.Errorf("the line has no code: %s", &out)
		}
	}
	out.Reset()
	m.CountRefresh(2, 3)
	if got := metricsOf(t, out.Bytes()); !maps.Equal(got, map[string]int{lambda.MetricStaleKeySets: 2, lambda.MetricRefreshFailures: 3}) {
		t.Errorf("%v", got)
	}
}

// The page lists the metrics that are written, and no other.
func TestMetricsPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/settings.md")
	must(t, err)
	var page []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		page = append(page, m[1])
	}
	want := []string{lambda.MetricJoins, lambda.MetricDenied, lambda.MetricSignerFailures, lambda.MetricStoreFailures, lambda.MetricStaleKeySets, lambda.MetricRefreshFailures}
	if !slices.Equal(page, want) {
		t.Errorf("the page has %q, the code %q", page, want)
	}
}
