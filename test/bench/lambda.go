package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// rootsFile is where Debian has the certificates that TLS trusts, about as many as Lambda's runtime.
const rootsFile = "/etc/ssl/certs/ca-certificates.crt"

// functions is a stack on stand-ins for AWS, with proxies that note each remote call of join.
// The proxies speak TLS, as AWS does.
type functions struct {
	*bench
	part        string
	cloud       *worldtest.Cloud
	stack       *worldtest.Stack
	dynamo, kms *awstest.Proxy
	ca          string // a file
	calls       calls
}

// lambda measures the functions under Lambda's runtime interface emulator, with DynamoDB Local and
// moto's KMS: what a remote call takes is theirs, and says how calls compare.
func (b *bench) lambda() error {
	f, stop, err := b.functions("lambda")
	defer stop()
	if err != nil {
		return err
	}
	for _, measure := range []func() error{f.sizes, f.firstAnswer, f.refresher, f.remote, f.hops} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// functions starts a stack for a part of the table. stop is to be called even after an error.
func (b *bench) functions(part string) (f *functions, stop func(), err error) {
	var ends []func()
	stop = func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
	cloud, err := worldtest.StartCloud()
	if err != nil {
		return nil, stop, err
	}
	ends = append(ends, cloud.Stop)
	f = &functions{bench: b, part: part, cloud: cloud, ca: filepath.Join(b.dir, part+"-ca.pem")}
	if f.stack, err = cloud.NewStack(b.ctx, "bench"); err != nil {
		return nil, stop, err
	}
	ends = append(ends, f.stack.Close)
	if f.dynamo, err = awstest.NewTLSProxy(cloud.DynamoDB.URL()); err != nil {
		return nil, stop, err
	}
	ends = append(ends, f.dynamo.Close)
	f.dynamo.AskForUnits()
	if f.kms, err = awstest.NewTLSProxy(cloud.Moto.URL()); err != nil {
		return nil, stop, err
	}
	ends = append(ends, f.kms.Close)
	roots, _ := os.ReadFile(rootsFile)                                                 // without one there are fewer to read
	if err := os.WriteFile(f.ca, append(f.dynamo.CA(), roots...), 0o600); err != nil { // both proxies have one certificate
		return nil, stop, err
	}
	return f, stop, b.prepare(cloud.Env(), "--stack", f.stack.Name)
}

// sizes are those of the functions as SAM packs them.
func (f *functions) sizes() error {
	for _, name := range []string{"join", "jwks-refresh"} {
		bootstrap, err := f.cloud.Function(name)
		if err != nil {
			return err
		}
		mb, err := zipped(bootstrap)
		if err != nil {
			return err
		}
		f.table.add("lambda", name+": zip", mb, "MB", atMost(12))
	}
	return nil
}

// zipped is the size of a file in a zip, in MB.
func zipped(file string) (float64, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(content); err != nil {
		return 0, err
	}
	return float64(packed.Len()) / 1e6, z.Close()
}

// start starts the function join, which makes its remote calls through the proxies.
func (f *functions) start() (*awstest.Emulator, error) {
	return f.stack.StartFunction("join", f.env()...)
}

// env leads a function to the proxies. Of certificates that TLS trusts it has as many as in
// Lambda, in one file, and reads no folder, which internal/lambda sees to there.
func (f *functions) env() []string {
	return []string{"AWS_ENDPOINT_URL_DYNAMODB=" + f.dynamo.URL(), "AWS_ENDPOINT_URL_KMS=" + f.kms.URL(), "SSL_CERT_FILE=" + f.ca, "SSL_CERT_DIR=/dev/null"}
}

// ask sends a request as API Gateway would hand it over, and says how long the answer took.
func (f *functions) ask(function *awstest.Emulator, method, path string, body []byte) (took float64, err error) {
	r := httptest.NewRequestWithContext(f.ctx, method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	began := time.Now()
	awstest.Gateway(function).ServeHTTP(w, r)
	took = ms(time.Since(began))
	if w.Code != http.StatusOK && path != noPath {
		return 0, fmt.Errorf("%s %s was answered %d: %s", method, path, w.Code, w.Body)
	}
	return took, nil
}

// joinOnce joins by a function.
func (f *functions) joinOnce(function *awstest.Emulator) (took float64, err error) {
	bodies, err := f.mint(1)
	if err != nil {
		return 0, err
	}
	return f.ask(function, http.MethodPost, api.PathJoin, bodies[0])
}

// joins20 is how many joins come before a function's memory is measured, and how many are timed.
const joins20 = 20

// noPath is one that the service does not have: to say so needs no remote call.
const noPath = "/none"

// cold is how long a function that has just started takes to answer GET path.
func (f *functions) cold(path string) (took []float64, err error) {
	for range f.size.starts {
		function, err := f.start()
		if err != nil {
			return nil, err
		}
		first, err := f.ask(function, http.MethodGet, path, nil)
		function.Stop()
		if err != nil {
			return nil, err
		}
		took = append(took, first)
	}
	return took, nil
}

// firstAnswer is a cold start of join, as its caller sees it, and its memory. Its health needs
// the store and the keys.
func (f *functions) firstAnswer() error {
	took, err := f.cold(noPath)
	if err != nil {
		return err
	}
	healthy, err := f.cold(api.PathHealth)
	if err != nil {
		return err
	}
	f.table.add("lambda", "join: start to first /healthz", median(healthy), "ms", nil)
	f.table.add("lambda", "join: start to first answer", median(took), "ms", atMost(25))
	function, err := f.start()
	if err != nil {
		return err
	}
	defer function.Stop()
	for range joins20 {
		if _, err := f.joinOnce(function); err != nil {
			return err
		}
	}
	mib, err := resident(function.PID())
	if err != nil {
		return err
	}
	f.table.add("lambda", fmt.Sprintf("join: resident after %d joins", joins20), mib, "MiB", atMost(40))
	return nil
}

// refresher is a cold start of jwks-refresh, which looks which issuers there are: one, pinned.
func (f *functions) refresher() error {
	var took []float64
	var mib float64
	for range f.size.starts {
		function, err := f.stack.StartFunction("jwks-refresh")
		if err != nil {
			return err
		}
		began := time.Now()
		_, err = function.Invoke(f.ctx, []byte("{}"))
		took = append(took, ms(time.Since(began)))
		if err == nil {
			mib, err = resident(function.PID())
		}
		function.Stop()
		if err != nil {
			return err
		}
	}
	f.table.add("lambda", "jwks-refresh: start to first answer", median(took), "ms", nil)
	f.table.add("lambda", "jwks-refresh: resident", mib, "MiB", nil)
	return nil
}
