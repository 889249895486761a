package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gatepass-ci/gatepass/test/capacity"
)

// memories are memory sizes of a function, in MB.
var memories = []int{128, 256, 512, 1024, wholeCPU}

const (
	// wholeCPU is the memory with which a function has one processor; with less it has that much less.
	wholeCPU = 1769
	// period is the time within which a function has its part of a processor.
	period = 20 * time.Millisecond
	// pause lets a period of an idle function pass before the next join.
	pause = 2 * period
)

// errNoLimit says that this machine lets us limit no processor time.
var errNoLimit = errors.New("processor time can be limited only as root, with a writable cgroup of the controller cpu")

// memory measures what a function's memory, and so its part of a processor, does to a join's time
// and price. Remote calls take as long as is assumed of AWS.
func (b *bench) memory() error {
	f, stop, err := b.functions("memory")
	defer stop()
	if err != nil {
		return err
	}
	f.dynamo.Set(f.noting(answer{least: capacity.DynamoDBTime}))
	f.kms.Set(f.noting(answer{least: capacity.KMSTime}))
	bootstrap, err := f.cloud.Function("join")
	if err != nil {
		return err
	}
	sizes := memories
	if f.size.name == short.name {
		sizes = []int{memories[0], wholeCPU}
	}
	for _, mb := range sizes {
		if err := f.withMemory(mb, bootstrap); err != nil {
			return err
		}
	}
	return nil
}

// withMemory times joins of a function that has the processor time of so much memory.
func (f *functions) withMemory(mb int, bootstrap string) error {
	group, err := newGroup(float64(mb) / wholeCPU)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(group) }() // empty by then
	// The program enters the group before it becomes the function; what runs it stays out.
	wrapper := filepath.Join(f.dir, strconv.Itoa(mb), "bootstrap")
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s/cgroup.procs && exec %s\n", group, bootstrap)
	if err := errors.Join(os.Mkdir(filepath.Dir(wrapper), 0o700), os.WriteFile(wrapper, []byte(script), 0o700)); err != nil {
		return err
	}
	f.cloud.Replace("join", wrapper)
	defer f.cloud.Replace("join", bootstrap)
	first, later := newTimed(), newTimed()
	for range f.size.starts {
		if err := f.startAndJoin(first, later); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("%d MB: ", mb)
	f.table.add(f.part, name+"a first join, from the start", median(first.took), "ms", nil)
	f.table.add(f.part, name+"a later join", median(later.took), "ms", nil)
	f.table.add(f.part, name+"CPU of a later join", median(later.cpu), "ms", nil)
	f.table.add(f.part, name+"a million later joins", capacity.LambdaUSD(mb, median(later.took))*1e6, "USD", nil)
	return nil
}

// startAndJoin times a first join and a few later ones.
func (f *functions) startAndJoin(first, later *timed) error {
	function, err := f.start()
	if err != nil {
		return err
	}
	defer function.Stop()
	if err := f.timeJoin(function, first); err != nil {
		return err
	}
	for range 4 {
		time.Sleep(pause)
		if err := f.timeJoin(function, later); err != nil {
			return err
		}
	}
	return nil
}

// newGroup makes a cgroup whose processes have a part of one processor, and returns its folder.
func newGroup(part float64) (string, error) {
	quota := strconv.Itoa(int(part * float64(period.Microseconds())))
	every := strconv.FormatInt(period.Microseconds(), 10)
	for _, version := range []struct {
		root  string
		limit map[string]string
	}{
		{"/sys/fs/cgroup/cpu", map[string]string{"cpu.cfs_period_us": every, "cpu.cfs_quota_us": quota}}, // version 1
		{"/sys/fs/cgroup", map[string]string{"cpu.max": quota + " " + every}},                            // version 2
	} {
		dir, err := os.MkdirTemp(version.root, "gatepass-bench-")
		if err != nil {
			continue
		}
		for name, value := range version.limit {
			if err == nil {
				err = writeExisting(filepath.Join(dir, name), value)
			}
		}
		if err == nil {
			return dir, nil
		}
		_ = os.Remove(dir)
	}
	return "", errNoLimit
}

// writeExisting writes to a file that must exist: a cgroup has a file for what it can limit.
func writeExisting(file, value string) error {
	w, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = w.WriteString(value)
	return errors.Join(err, w.Close())
}
