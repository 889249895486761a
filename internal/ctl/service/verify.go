package service

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/release"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// maxReleaseFile is more bytes than any file of a release has.
const maxReleaseFile = 1 << 30

// verifiedFile is what verify prints of a file, for machines.
type verifiedFile struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Tag    string `json:"tag"`
	Commit string `json:"commit"`
}

func (c *commands) verifyCommand() *cobra.Command {
	var keyFiles []string
	var tag string
	cmd := &cobra.Command{
		Use:   "verify FILE…",
		Short: "verify files of a release before their first use",
		Long: `verify tells whether files are those of a release of Gatepass. It reads SHA256SUMS,
SHA256SUMS.minisig, SHA256SUMS.sig and provenance.intoto.jsonl beside each file. Both
signatures of the list must hold, and that of the provenance. The list and the
provenance must have each file, with its SHA-256. Nothing is fetched, and no file is run.

The public keys are those that this gatepassctl was built with. --key names others:
give a key of minisign and an ECDSA P-256 key in PEM. Take them from somewhere else
than the release. The first gatepassctl on a machine cannot verify itself: verify it
with minisign, cosign or openssl, as the README shows.`,
		Example: `  gatepassctl verify gatepass_0.1.0_linux_amd64 --tag v0.1.0
  gatepassctl verify gatepass_0.1.0_linux_amd64 --key minisign.pub --key cosign.pub`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("FILE is missing")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := c.releaseKeys(keyFiles)
			if err != nil {
				return err
			}
			all, err := verifyAll(args, keys, tag)
			if err != nil {
				return err
			}
			return c.Print(all, func() {
				for _, f := range all {
					fmt.Fprintf(c.Out, "%s is of release %s, built from commit %s\n", words.Visible(f.File), f.Tag, f.Commit)
				}
			})
		},
	}
	cmd.Flags().StringArrayVar(&keyFiles, "key", nil, "file of a public key, instead of those built in; give one of each kind")
	cmd.Flags().StringVar(&tag, "tag", "", "release that the files must be of, such as v0.1.0")
	return cmd
}

// releaseKeys reads the public keys that files have, or else those that are built in.
func (c *commands) releaseKeys(files []string) (keys release.Keys, err error) {
	if len(files) == 0 {
		keys, err = release.Pinned()
		if errors.Is(err, release.ErrNoKeys) {
			return keys, cli.Failed("%w: no release was signed when it was built", err).
				Hint("name the keys: gatepassctl verify FILE --key minisign.pub --key cosign.pub")
		}
		return keys, err
	}
	for _, file := range files {
		text, err := readBeside(file, 8<<10)
		if err == nil {
			err = keys.Add(text)
		}
		if err != nil {
			return keys, cli.Failed("--key %s: %w", words.Visible(file), err)
		}
	}
	if err := keys.Complete(); err != nil {
		return keys, cli.Misused("--key: %w", err).Hint("give --key twice: --key minisign.pub --key cosign.pub")
	}
	return keys, nil
}

// verifyAll verifies each file by the signatures beside it: all of them, or it fails.
func verifyAll(files []string, keys release.Keys, tag string) ([]verifiedFile, error) {
	opened := make(map[string]*release.Release) // by folder
	var all []verifiedFile
	for _, file := range files {
		v, err := verifyFile(file, keys, opened)
		if err != nil {
			return nil, cli.Failed("%s is NOT verified: %w", words.Visible(file), err).
				Hint("do not use it; download it again, with %s, %s, %s and %s of the same release beside it", release.SumsFile, release.MinisigFile, release.SigFile, release.EnvelopeFile)
		}
		if tag != "" && v.Tag != tag {
			return nil, cli.Failed("%s is of release %s, and not of %s", words.Visible(file), v.Tag, words.Visible(tag)).
				Hint("download the release that you want")
		}
		all = append(all, v)
	}
	return all, nil
}

func verifyFile(file string, keys release.Keys, opened map[string]*release.Release) (v verifiedFile, err error) {
	dir, name := filepath.Dir(file), filepath.Base(file)
	r := opened[dir]
	if r == nil {
		parts := make(map[string][]byte)
		for part, limit := range release.Limits {
			if parts[part], err = readBeside(filepath.Join(dir, part), limit); err != nil {
				return v, err
			}
		}
		if r, err = release.Open(parts, keys); err != nil {
			return v, err
		}
		opened[dir] = r
	}
	f, err := openRegular(file, maxReleaseFile)
	if err != nil {
		return v, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxReleaseFile)); err != nil {
		return v, err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	return verifiedFile{file, sum, r.Tag, r.Commit}, r.Check(name, sum)
}

// readBeside reads a small file.
func readBeside(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path, limit)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// openRegular opens a file of at most limit bytes. It waits for no pipe.
func openRegular(path string, limit int64) (*os.File, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist", words.Visible(path))
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", words.Visible(path))
	case info.Size() > limit:
		return nil, fmt.Errorf("%s has %s, and at most %d are read", words.Visible(path), ctl.Plural(int(info.Size()), "byte", "bytes"), limit)
	}
	return os.Open(path)
}
