// Command pack makes one file of an orb's source folder, as `circleci orb pack` does: the
// same bytes, so that the packed orb can be committed, compared and used by its URL
// (docs/release.md). The format is that of the CLI since 1.0: all keys sorted, four spaces
// of indentation, files that are included in their place.
//
//	go run ./ci/circleci-orb/pack [-version V -checksums FILE] SRC > orb.yml
//
// With -version and -checksums these take the place of the two files in SRC/release: the
// client that the orb installs, and its SHA-256 for each platform.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pack: error:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	version := flags.String("version", "", "version of the client that the orb installs")
	checksums := flags.String("checksums", "", "file with its checksums, as sha256sum writes them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || (*version == "") != (*checksums == "") {
		return errors.New("usage: pack [-version V -checksums FILE] SRC")
	}
	replace := make(map[string][]byte)
	if *version != "" {
		raw, err := os.ReadFile(*checksums)
		if err != nil {
			return err
		}
		replace["release/version.txt"], replace["release/checksums.txt"] = []byte(*version), raw
	}
	packed, err := pack(os.DirFS(flags.Arg(0)), replace)
	if err != nil {
		return err
	}
	_, err = out.Write(packed)
	return err
}
