package capacity

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// rates are the joins a second of the tables.
var rates = []float64{1, 10, 100, 1000, 10_000, 100_000}

// Print prints the tables of docs/capacity.md, in Markdown. It takes some seconds.
func Print(out io.Writer) {
	printQuotas(out)
	fmt.Fprintln(out)
	printSimulations(out)
	fmt.Fprintln(out)
	printCosts(out)
}

// printQuotas prints what each quota allows by itself.
func printQuotas(out io.Writer) {
	fmt.Fprintln(out, "| quota | a second | a join takes | joins a second | with quotas raised and 100 rules |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	before, after := AsDeployed.quotas(), ManyRules.quotas()
	names := make([]string, 0, len(before))
	for name := range before {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if most := before[a].joins() - before[b].joins(); most != 0 {
			return int(math.Copysign(1, most))
		}
		return strings.Compare(before[a].Name, before[b].Name)
	})
	for _, name := range names {
		q := before[name]
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", q.Name, number(q.Rate), number(q.Join), number(q.joins()), number(after[name].joins()))
	}
	busy := JoinTime(AsDeployed).Seconds()
	fmt.Fprintf(out, "| %s | %s at once | %.0f ms | %s | %s |\n", atOnce, number(concurrency), busy*1000, number(concurrency/busy), number(concurrencyRaised/busy))
}

// joins is how many joins a second a quota allows.
func (q *Quota) joins() float64 { return math.Floor(q.Rate / q.Join) }

// JoinTime is what a join takes where nothing is refused.
func JoinTime(d Design) time.Duration {
	total := LocalTime
	for _, h := range d.hops(d.quotas()) {
		var longest time.Duration
		for _, call := range h {
			longest = max(longest, call.took)
		}
		total += longest
	}
	return total
}

// printSimulations prints what becomes of joins of many rates.
func printSimulations(out io.Writer) {
	fmt.Fprintln(out, "| joins a second | deployment | granted | half within | 99 of 100 within | refuses most |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|")
	for _, one := range []struct {
		design Design
		rates  []float64
	}{
		{AsDeployed, []float64{1, 10, 100, 400, 1000}},
		{ManyRules, []float64{1000, 2500, 10_000}},
		{Stacks4, []float64{10_000}},
		{Stacks40, []float64{100_000}},
		{Spread16, []float64{100_000}},
	} {
		for _, rate := range one.rates {
			o := Simulate(one.design, rate, 10*time.Second)
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", number(rate), one.design.Name, percent(o), ms(o.P50), ms(o.P99), dash(o.First()))
		}
	}
}

// percent is how many of a hundred joins were granted; it says 100 of all only.
func percent(o Outcome) string {
	if o.Granted == o.Asked {
		return "all"
	}
	return fmt.Sprintf("%.0f%%", math.Floor(100*float64(o.Granted)/float64(o.Asked)))
}

// JoinUSD is what a join costs beside what is paid without any.
func JoinUSD(d Design) float64 {
	once := d.quotas()["bot"].Join
	return float64(d.Signatures)*signatureUSD + (useUnits+recordUnit)*writeUSD + (3*readUnit+2*once)*readUSD +
		LambdaUSD(JoinMB, float64(JoinTime(d).Milliseconds())) + apiUSD + storageUSD + logUSD + outUSD
}

const month = 365.25 / 12 * 86400 // in seconds

// printCosts prints what joins cost a month.
func printCosts(out io.Writer) {
	fmt.Fprintln(out, "| joins a second, all month | joins a month | USD a month | of it signatures |")
	fmt.Fprintln(out, "|---|---|---|---|")
	d := AsDeployed
	for _, rate := range rates {
		joins := rate * month
		fmt.Fprintf(out, "| %s | %s million | %s | %.0f%% |\n", number(rate), number(math.Round(joins/1e5)/10), number(round(joins*JoinUSD(d))),
			100*float64(d.Signatures)*signatureUSD/JoinUSD(d))
	}
}

// round keeps two digits: prices are no surer than that.
func round(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Round(v/unit) * unit
}

// number has commas between thousands.
func number(v float64) string {
	text := fmt.Sprintf("%.10g", v)
	whole, fraction, dot := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		whole += "." + fraction
	}
	return whole
}

func ms(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

func dash(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
