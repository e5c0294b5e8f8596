package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The log of each container, in memory.
type logs struct {
	mu    sync.Mutex
	known map[string]*containerLog
}

type containerLog struct {
	mu    sync.Mutex
	lines []string // with their time in front
	ended bool
	// Closed, and replaced, with every change.
	changed chan struct{}
}

func newLogs() *logs { return &logs{known: map[string]*containerLog{}} }

func (l *logs) of(container string) *containerLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := l.known[container]
	if found == nil {
		found = &containerLog{changed: make(chan struct{})}
		l.known[container] = found
	}
	return found
}

func (c *containerLog) add(at time.Time, text string) {
	c.change(func() { c.lines, c.ended = append(c.lines, at.UTC().Format(time.RFC3339Nano)+" "+text), false })
}

func (c *containerLog) end() { c.change(func() { c.ended = true }) }

func (c *containerLog) change(act func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	act()
	close(c.changed)
	c.changed = make(chan struct{})
}

// What there is from line `from` on, and what to wait for after that.
func (c *containerLog) since(from int) (lines []string, ended bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[from:], c.ended, c.changed
}

func (l *logs) serve(w http.ResponseWriter, r *http.Request, container string) {
	query := r.URL.Query()
	source := l.of(container)
	lines, ended, changed := source.since(0)
	at := 0
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil && tail < len(lines) {
		at, lines = len(lines)-tail, lines[len(lines)-tail:]
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusOK)
	for {
		for _, line := range lines {
			if query.Get("timestamps") != "true" {
				line = line[len(line)-len(textOf(line)):]
			}
			fmt.Fprintln(w, line)
		}
		w.(http.Flusher).Flush()
		at += len(lines)
		if query.Get("follow") != "true" || ended {
			return
		}
		select {
		case <-changed:
			lines, ended, changed = source.since(at)
		case <-r.Context().Done():
			return
		}
	}
}

func textOf(line string) string {
	for i := range line {
		if line[i] == ' ' {
			return line[i+1:]
		}
	}
	return line
}
