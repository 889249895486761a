package awstest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// BuildFlags are how a function is built for deployment, save for the architecture.
func BuildFlags() []string {
	return []string{"-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w -buildid="}
}

// Build builds functions/NAME as it is deployed, for the architecture of this
// machine, into dir, and returns the path of its bootstrap.
func Build(ctx context.Context, dir, name string) (string, error) {
	repository, err := root()
	if err != nil {
		return "", err
	}
	bootstrap := filepath.Join(dir, name, "bootstrap")
	args := append([]string{"build", "-o", bootstrap}, BuildFlags()...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./functions/"+name)...)
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building functions/%s: %w\n%s", name, err, out)
	}
	return bootstrap, nil
}

// EmulatorConfig says what an emulator runs.
type EmulatorConfig struct {
	// Bootstrap is the function's program.
	Bootstrap string
	// Env is the function's whole environment beside what Lambda sets. The
	// credentials and the region are made up unless they are in it.
	Env map[string]string
	// Timeout is the function's; default 30 s.
	Timeout time.Duration
}

// Emulator is Lambda's runtime interface emulator with one function. As in one
// environment of Lambda, the function starts with the first event, and events
// come one after another.
type Emulator struct {
	url     string
	process *process
	mu      sync.Mutex
}

// StartEmulator starts an emulator. Its error wraps ErrUnavailable if it is not installed.
func StartEmulator(c EmulatorConfig) (*Emulator, error) {
	program, err := tool("venv-sam/lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	runtimeAPI, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	cmd := exec.Command(program, "--runtime-interface-emulator-address", address, "--runtime-api-address", runtimeAPI, c.Bootstrap)
	cmd.Dir = filepath.Dir(c.Bootstrap)
	env := map[string]string{
		"PATH": os.Getenv("PATH"), "AWS_REGION": "eu-central-1",
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
		"AWS_LAMBDA_FUNCTION_TIMEOUT": strconv.Itoa(int(c.Timeout / time.Second)),
	}
	for name, value := range c.Env {
		env[name] = value
	}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	e := &Emulator{url: "http://" + address}
	if e.process, err = startProcess(cmd); err != nil {
		return nil, fmt.Errorf("starting the runtime interface emulator: %w", err)
	}
	if err := e.process.waitHTTP(e.url + "/"); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

// Invoke hands the function an event and returns its answer, or the error that it ended with.
func (e *Emulator) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/2015-03-31/functions/function/invocations", bytes.NewReader(event))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	// The emulator has no X-Amz-Function-Error: a failure is told from an answer by its members.
	failure := &FunctionError{}
	if json.Unmarshal(answer, failure) == nil && (failure.Type != "" || failure.Message != "") {
		return nil, failure
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the emulator answered %s: %s", resp.Status, answer)
	}
	return answer, nil
}

// FunctionError is what a function ended with.
type FunctionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (f *FunctionError) Error() string { return f.Type + ": " + f.Message }

// PID is the function's process id; 0 before the first event.
func (e *Emulator) PID() int {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", e.process.cmd.Process.Pid))
	if err != nil || len(bytes.Fields(children)) == 0 {
		return e.childOfThreads()
	}
	pid, _ := strconv.Atoi(string(bytes.Fields(children)[0]))
	return pid
}

// childOfThreads looks at all threads: any of them may have started the child.
func (e *Emulator) childOfThreads() int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", e.process.cmd.Process.Pid))
	for _, file := range files {
		if children, err := os.ReadFile(file); err == nil && len(bytes.Fields(children)) > 0 {
			pid, _ := strconv.Atoi(string(bytes.Fields(children)[0]))
			return pid
		}
	}
	return 0
}

// Log is what the emulator and the function wrote.
func (e *Emulator) Log() string { return e.process.log.String() }

// Stop ends the emulator and the function.
func (e *Emulator) Stop() { e.process.stop() }

// Invocations is a server for AWS_ENDPOINT_URL_LAMBDA: it hands what is invoked to
// the emulator of that function.
func Invocations(functions map[string]*Emulator) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _ := strings.CutPrefix(r.URL.EscapedPath(), "/2015-03-31/functions/")
		name, ok := strings.CutSuffix(name, "/invocations")
		name, err := url.PathUnescape(name)
		function := functions[name]
		if !ok || err != nil || function == nil {
			w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"Type":"User","Message":"Function not found: %s"}`, url.QueryEscape(name))
			return
		}
		event, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has gone
		}
		answer, err := function.Invoke(r.Context(), event)
		if failure, ok := err.(*FunctionError); ok {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			answer, err = json.Marshal(failure)
		}
		if err != nil {
			w.Header().Set("X-Amzn-ErrorType", "ServiceException")
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(answer)
	}))
}
