// Package service has the commands of gatepassctl that run the service, look at it, and
// look after issuers' keys, and those about the program itself.
package service

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// commands are those of this package.
type commands struct{ *ctl.Env }

// Commands are serve, demo, status, keys, completion, man and version.
func Commands(env *ctl.Env) []*cobra.Command {
	c := &commands{env}
	return []*cobra.Command{
		c.serveCommand(), c.demoCommand(), c.statusCommand(), c.keysCommand(),
		completionCommand(), c.manCommand(), c.verifyCommand(), c.versionCommand(),
	}
}

func (c *commands) serveCommand() *cobra.Command {
	var (
		config  Config
		proxies []string
	)
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "run the embedded join service",
		Long: `serve runs the whole join service in this process: the store and the
authorities' keys are in the data directory, which is made if it is missing.
The other commands work on the same directory meanwhile.

It does not start on a directory whose keys or database were lost, or do not belong
together. Restore the directory from a backup. If there is none, --new takes it as it
is and makes what is missing.

It logs JSON lines to standard error, one for each join.

GATEPASS_PRIVATE_ISSUERS (host:port, …) names issuers at private addresses, and
GATEPASS_ISSUER_CA a file of certificates to trust beside the system's.`,
		Example: `  gatepassctl serve --data ./gatepass-data
  gatepassctl serve --data /var/lib/gatepass --listen 0.0.0.0:443 \
    --public-url https://join.example.com --tls-cert cert.pem --tls-key key.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, p := range proxies {
				prefix, err := netip.ParsePrefix(p)
				if err != nil {
					return cli.Misused("--trusted-proxy %q is not a network", p).Hint("write a network such as 10.0.0.0/8")
				}
				config.TrustedProxies = append(config.TrustedProxies, prefix)
			}
			if (config.TLSCert == "") != (config.TLSKey == "") {
				return cli.Misused("half of the server's certificate is missing").Hint("give both --tls-cert and --tls-key, or neither")
			}
			if config.RateLimit < 0 {
				return cli.Misused("--rate-limit %d is less than none", config.RateLimit).Hint("write how many requests a minute one address may make, or 0 for no limit")
			}
			if config.Connections < 1 {
				return cli.Misused("--max-connections %d leaves no room for a job", config.Connections).Hint("give 1 or more, or leave it out for %d", DefaultConnections)
			}
			return c.serve(cmd, config)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&config.New, "new", false, "begin anew what was lost of the data directory: for one start, once nothing can be restored")
	f.StringVar(&config.Listen, "listen", "127.0.0.1:8600", "address and port to listen at")
	f.StringVar(&config.PublicURL, "public-url", "", "where clients reach the service; the issuer of its JWTs (default where it listens)")
	f.StringVar(&config.TrustDomain, "trust-domain", "", "SPIFFE trust domain of identity certificates (default the public URL's host)")
	f.StringVar(&config.TLSCert, "tls-cert", "", "file of the server's certificate chain, PEM")
	f.StringVar(&config.TLSKey, "tls-key", "", "file of its private key, PEM")
	f.DurationVar(&config.MaxTTL, "max-ttl", cert.MaxTTL, "longest lifetime of a credential")
	f.IntVar(&config.RateLimit, "rate-limit", DefaultRateLimit, "requests a minute from one address; 0 for no limit")
	f.IntVar(&config.Connections, "max-connections", DefaultConnections, "connections at one time; half of them for one address")
	f.StringSliceVar(&proxies, "trusted-proxy", nil, "networks of proxies whose X-Forwarded-For is believed")
	return cmd
}

// escaped is a writer of JSON in which what would move a terminal is escaped.
type escaped struct{ io.Writer }

// Write implements io.Writer.
func (e escaped) Write(p []byte) (int, error) {
	if _, err := e.Writer.Write(words.EscapeJSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *commands) serve(cmd *cobra.Command, config Config) (err error) {
	if c.Data == "" {
		if c.Data, err = c.Setting("GATEPASS_DATA"); err != nil {
			return err
		}
	}
	if c.Data == "" || c.Stack != "" {
		return cli.Misused("serve runs on a data directory").Hint("write gatepassctl serve --data DIR, or set GATEPASS_DATA")
	}
	if config.Issuers, err = jwks.ReadClientConfig(c.Getenv); err != nil {
		return err
	}
	if c.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryTarget)
	}
	config.Data, config.Version, config.Now = c.Data, c.Version, c.Now
	config.Log = slog.New(slog.NewJSONHandler(escaped{c.Err}, nil))
	server, err := Open(cmd.Context(), config)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "gatepass is listening at %s\n", server.URL())
	return server.Run(cmd.Context())
}
