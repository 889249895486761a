package ssh

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// CheckUpload finds what would fail on this machine when the sources are copied to a host,
// before anything is spent on a login: what is not there, or cannot be read.
func CheckUpload(sources []string, recursive bool) error {
	for _, source := range sources {
		info, err := os.Stat(source)
		switch {
		case err != nil:
			return explain("reading", source, err)
		case info.IsDir() && !recursive:
			return needFolderFlag(source)
		case !info.IsDir():
			err = checkReadable(source)
		default:
			err = filepath.WalkDir(source+"/.", func(name string, entry fs.DirEntry, err error) error {
				switch {
				case err != nil:
					return explain("reading", name, err)
				case entry.Type().IsRegular():
					return checkReadable(name)
				}
				return nil // links and what is no file are left out, and the copy says so
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkReadable(name string) error {
	file, err := openRegular(name)
	if err != nil {
		return err
	}
	return file.Close()
}

// openRegular opens a file to read. What is no regular file is refused, and keeps nobody:
// without O_NONBLOCK a pipe that took the file's place would.
func openRegular(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, explain("reading", name, err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = cli.Failed("%s is no regular file", words.Clean(name)).Hint("copy files and folders only")
	}
	if err != nil {
		file.Close()
		return nil, explain("reading", name, err)
	}
	return file, nil
}

// CheckDownload finds what would fail on this machine when the sources are copied from a
// host: a destination that is not there, is of another kind, or cannot be written to. It
// writes an empty file there and removes it.
func CheckDownload(sources []string, destination string, recursive bool) error {
	for _, source := range sources {
		base := path.Base(source)
		root, name, err := localPlace(base, destination, len(sources) > 1, recursive)
		if err != nil {
			return err
		}
		err = checkWritable(root, name, recursive)
		root.Close()
		if err != nil {
			return explain("writing", destination, err)
		}
	}
	return nil
}

func checkWritable(root *os.Root, name string, recursive bool) error {
	info, err := root.Lstat(name)
	folder := err == nil && info.IsDir()
	if folder && !recursive {
		return cli.Failed("%s is a folder", words.Clean(name)).Hint("remove it first, or name another destination")
	}
	probe := filepath.Join(filepath.Dir(name), partialName())
	if folder {
		probe = filepath.Join(name, partialName())
	}
	file, err := root.OpenFile(probe, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	file.Close()
	return root.Remove(probe)
}
