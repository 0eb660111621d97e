package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is what /proc counts processor time in: USER_HZ, which is 100 on every Linux.
const tick = time.Second / 100

// stat is what /proc/PID/stat says.
type stat struct {
	group int
	cpu   time.Duration // of user and system, with that of threads that have ended
}

// parseStat reads a line of /proc/PID/stat. The name of the command, in brackets, may
// hold anything, brackets and spaces too.
func parseStat(line string) (s stat, err error) {
	// After it come: state, parent, group, ten others, user time and system time.
	const group, user, system = 2, 11, 12
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) <= system {
		return s, fmt.Errorf("%q is no line of /proc/PID/stat", line)
	}
	var numbers [system + 1]int64
	for _, i := range []int{group, user, system} {
		if numbers[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return s, fmt.Errorf("read /proc/PID/stat: %w", err)
		}
	}
	return stat{int(numbers[group]), time.Duration(numbers[user]+numbers[system]) * tick}, nil
}

// parseStatus finds a size in /proc/PID/status, in bytes.
func parseStatus(status []byte, name string) (bytesOf int64, err error) {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			kibibytes, _ := bytes.CutSuffix(bytes.TrimSpace(rest), []byte(" kB"))
			n, err := strconv.ParseInt(string(kibibytes), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", name)
}

// The sizes of a process: what it has, and the most that it ever had.
const (
	vmRSS = "VmRSS"
	vmHWM = "VmHWM"
)

// usage is what the processes of a group have used together.
type usage struct {
	cpu               time.Duration
	resident, highest int64 // bytes
}

// usage reads what p has used so far.
func (p *process) usage() (sum usage, err error) {
	found, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return sum, err
	}
	members := 0
	for _, path := range found {
		line, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended since
		}
		if err != nil {
			return sum, err
		}
		s, err := parseStat(string(line))
		if err != nil {
			return sum, err
		}
		if s.group != p.cmd.Process.Pid {
			continue
		}
		members++
		sum.cpu += s.cpu
		status, err := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if err != nil {
			return sum, err
		}
		resident, err := parseStatus(status, vmRSS)
		if err != nil {
			return sum, err
		}
		highest, err := parseStatus(status, vmHWM)
		if err != nil {
			return sum, err
		}
		sum.resident += resident
		sum.highest += highest
	}
	if members == 0 {
		return sum, errors.New("it has ended")
	}
	return sum, nil
}
