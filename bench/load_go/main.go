// Package main is the load generator: keep-alive connections that send prepared requests, as fast as they are answered
// or at a fixed rate. It reads a plan from its input, and prints what came of it, both in JSON.
//
// At a fixed rate a latency counts from the moment at which the request was to be sent, not from when it was: an answer
// that takes long does not hide how long the ones behind it would have waited.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// plan says what to send.
type plan struct {
	Address  string   `json:"address"`
	Requests [][]byte `json:"requests"` // in turn; each is a whole HTTP request
	Callers  int      `json:"callers"`
	Seconds  float64  `json:"seconds"`
	Rate     float64  `json:"rate"` // requests per second of all callers; 0: as fast as they are answered
	Once     bool     `json:"once"` // end when each request was sent once
}

// report is what came of it. Answers and rate count what came within the time; latencies count all.
type report struct {
	PerSecond float64        `json:"per_second"`
	Answers   int            `json:"answers"`
	Statuses  map[string]int `json:"statuses"`
	P50       float64        `json:"p50_ms"`
	P90       float64        `json:"p90_ms"`
	P99       float64        `json:"p99_ms"`
	Max       float64        `json:"max_ms"`
	SentLate  float64        `json:"sent_late_p99_ms"` // how late the generator itself was, at a fixed rate
}

// caller is one connection and what it saw.
type caller struct {
	plan      *plan
	next      *atomic.Int64
	began     time.Time
	until     time.Time
	latencies []time.Duration
	late      []time.Duration
	statuses  map[int]int
	inTime    int
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	var asked plan
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatalf("the plan cannot be read: %v", err)
	}
	if len(asked.Requests) == 0 || asked.Callers < 1 {
		log.Fatal("the plan needs requests and callers")
	}
	made, err := run(&asked)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(made); err != nil {
		log.Fatal(err)
	}
}

func run(asked *plan) (report, error) {
	connections, err := connect(asked)
	if err != nil {
		return report{}, err
	}
	began := time.Now()
	duration := time.Duration(asked.Seconds * float64(time.Second))
	var next atomic.Int64
	callers := make([]*caller, asked.Callers)
	failures := make([]error, asked.Callers)
	var all sync.WaitGroup
	for number, connection := range connections {
		each := &caller{plan: asked, next: &next, began: began, until: began.Add(duration), statuses: map[int]int{}}
		callers[number] = each
		all.Add(1)
		go func() {
			defer all.Done()
			defer connection.Close()
			failures[number] = each.call(connection)
		}()
	}
	all.Wait()
	return summary(callers, min(time.Since(began), duration)), errors.Join(failures...)
}

func connect(asked *plan) ([]net.Conn, error) {
	connections := make([]net.Conn, asked.Callers)
	for number := range connections {
		connection, err := net.DialTimeout("tcp", asked.Address, 10*time.Second)
		if err != nil {
			return nil, err
		}
		connections[number] = connection
	}
	return connections, nil
}

// call sends one request after the other until the time is over.
func (c *caller) call(connection net.Conn) error {
	reader := bufio.NewReaderSize(connection, 16<<10)
	for {
		number := c.next.Add(1) - 1
		if c.plan.Once && number >= int64(len(c.plan.Requests)) {
			return nil
		}
		due := time.Now()
		if c.plan.Rate > 0 {
			due = c.began.Add(time.Duration(float64(number) / c.plan.Rate * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		if !due.Before(c.until) {
			return nil
		}
		c.late = append(c.late, time.Since(due))
		if _, err := connection.Write(c.plan.Requests[number%int64(len(c.plan.Requests))]); err != nil {
			return err
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		c.answered(answer.StatusCode, due, time.Now())
		if answer.Close {
			return fmt.Errorf("the server closes connections: status %d", answer.StatusCode)
		}
	}
}

func (c *caller) answered(status int, due, now time.Time) {
	c.latencies = append(c.latencies, now.Sub(due))
	c.statuses[status]++
	if now.Before(c.until) {
		c.inTime++
	}
}

func summary(callers []*caller, elapsed time.Duration) report {
	made := report{Statuses: map[string]int{}}
	var latencies, late []time.Duration
	inTime := 0
	for _, each := range callers {
		latencies = append(latencies, each.latencies...)
		late = append(late, each.late...)
		inTime += each.inTime
		for status, count := range each.statuses {
			made.Statuses[strconv.Itoa(status)] += count
		}
	}
	slices.Sort(latencies)
	slices.Sort(late)
	made.Answers = len(latencies)
	made.PerSecond = float64(inTime) / elapsed.Seconds()
	made.P50, made.P90, made.P99 = quantile(latencies, 0.5), quantile(latencies, 0.9), quantile(latencies, 0.99)
	made.Max, made.SentLate = quantile(latencies, 1), quantile(late, 0.99)
	return made
}

// quantile is in milliseconds.
func quantile(ordered []time.Duration, part float64) float64 {
	if len(ordered) == 0 {
		return 0
	}
	return float64(ordered[int(part*float64(len(ordered)-1))].Nanoseconds()) / 1e6
}
