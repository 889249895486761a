package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/embedded"
	"github.com/gatepass-ci/gatepass/internal/join"
)

// serviceCommands are those that run the service or tell of it.
func (c *cli) serviceCommands() []*cobra.Command {
	return []*cobra.Command{c.serveCommand(), c.statusCommand(), c.demoCommand(), c.versionCommand()}
}

func (c *cli) serveCommand() *cobra.Command {
	var (
		config  embedded.Config
		proxies []string
	)
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "run the embedded join service",
		Long: `serve runs the whole join service in this process: the store and the
authorities' keys are in the data directory, which is made if it is missing.
The other commands work on the same directory meanwhile.

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
					return misused("write a network such as 10.0.0.0/8", "--trusted-proxy %q is not a network", p)
				}
				config.TrustedProxies = append(config.TrustedProxies, prefix)
			}
			if (config.TLSCert == "") != (config.TLSKey == "") {
				return misused("give both --tls-cert and --tls-key, or neither", "half of the server's certificate is missing")
			}
			return c.serve(cmd, config)
		},
	}
	f := cmd.Flags()
	f.StringVar(&config.Listen, "listen", "127.0.0.1:8600", "address and port to listen at")
	f.StringVar(&config.PublicURL, "public-url", "", "where clients reach the service; the issuer of its JWTs (default where it listens)")
	f.StringVar(&config.TrustDomain, "trust-domain", "", "SPIFFE trust domain of identity certificates (default the public URL's host)")
	f.StringVar(&config.TLSCert, "tls-cert", "", "file of the server's certificate chain, PEM")
	f.StringVar(&config.TLSKey, "tls-key", "", "file of its private key, PEM")
	f.DurationVar(&config.MaxTTL, "max-ttl", join.MaxTTL, "longest lifetime of a credential")
	f.IntVar(&config.RateLimit, "rate-limit", 0, "requests a minute from one address; 0 for no limit")
	f.StringSliceVar(&proxies, "trusted-proxy", nil, "networks of proxies whose X-Forwarded-For is believed")
	return cmd
}

func (c *cli) serve(cmd *cobra.Command, config embedded.Config) (err error) {
	if c.data == "" {
		c.data = c.getenv("GATEPASS_DATA")
	}
	if c.data == "" || c.stack != "" {
		return misused("write gatepassctl serve --data DIR, or set GATEPASS_DATA", "serve runs on a data directory")
	}
	if config.Issuers, err = embedded.IssuerSettings(c.getenv); err != nil {
		return err
	}
	config.Data, config.Version, config.Now = c.data, version(), c.now
	config.Log = slog.New(slog.NewJSONHandler(c.err, nil))
	server, err := embedded.Open(cmd.Context(), config)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "gatepass is listening at %s\n", server.URL())
	return server.Run(cmd.Context())
}

// quiet is a log for commands that print what happened themselves.
func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// within bounds what a command does over the network.
const within = 2 * time.Second
