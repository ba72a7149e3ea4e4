package modules

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/d5/tengo/v2"

	"selfhost/libtengo/internal/containers"
	"selfhost/libtengo/internal/frame"
)

// Limits low enough for a test to exceed them in no time.
const (
	testStringBytes = 1 << 13
	testElements    = 1000
)

func TestMain(m *testing.M) {
	tengo.MaxStringLen, tengo.MaxBytesLen = testStringBytes, testStringBytes
	os.Exit(m.Run())
}

// newRun is a run with a request, which may call nobody, and whose log is dropped.
func newRun(t testing.TB) *Run {
	t.Helper()
	nowhere := frame.Egress{Deny: frame.EgressRules{Hosts: []string{"*"}}}
	client, err := NewClient(ClientOptions{Redirects: 1, Parallel: 1, Egress: nowhere})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, errLate)
	t.Cleanup(cancel)
	return &Run{
		Context: ctx,
		Client:  client,
		Log:     func(string, string) error { return nil },
		Limits: Limits{
			LogLines: 10, LogBytes: 1000, AnswerBytes: testStringBytes, HTTPAnswerBytes: testStringBytes,
			HTTPCalls: 1_000_000, Elements: testElements,
		},
		Request: &frame.Request{Headers: map[string]string{"A": "b"}},
		Body:    []byte("body"),
	}
}

// patience is what a call may take of the processor: matching takes the product of pattern and text, and the race
// detector its time too.
const patience = 5 * time.Second

// processorTime is what this process has had of the processor so far; how busy the machine is does not show in it.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

var errLate = errors.New("late")

// callable finds a function by its path, such as "text.split" or "cgi.response.write".
func callable(t testing.TB, run *Run, path string) *tengo.UserFunction {
	t.Helper()
	names := strings.Split(path, ".")
	members := builders()[names[0]](&Slot{Run: run})
	for _, name := range names[1 : len(names)-1] {
		members = members[name].(*tengo.ImmutableMap).Value
	}
	function, ok := members[names[len(names)-1]].(*tengo.UserFunction)
	if !ok {
		t.Fatalf("there is no function %s", path)
	}
	return function
}

// functionPaths lists all functions of the modules made in Go, and those of the values that they make.
func functionPaths() (paths []string) {
	slot := &Slot{}
	for name, build := range builders() {
		if build != nil {
			paths = append(paths, pathsIn(name, build(slot))...)
		}
	}
	slices.Sort(paths)
	return paths
}

func pathsIn(prefix string, members map[string]tengo.Object) (paths []string) {
	for name, member := range members {
		switch member := member.(type) {
		case *tengo.UserFunction:
			paths = append(paths, prefix+"."+name)
		case *tengo.ImmutableMap:
			paths = append(paths, pathsIn(prefix+"."+name, member.Value)...)
		}
	}
	return paths
}

// strange are values of every type, among them those that functions tend to stumble over.
func strange() []tengo.Object {
	text := func(s string) tengo.Object { return &tengo.String{Value: s} }
	list := []tengo.Object{text("a=b"), number(1)}
	members := map[string]tengo.Object{"k": text("v"), "\r\n": text("\x00")}
	return []tengo.Object{
		tengo.UndefinedValue, tengo.TrueValue,
		number(0), number(1), number(-1), number(36), number(1_000_001), number(math.MaxInt64), number(math.MinInt64),
		&tengo.Float{Value: math.NaN()}, &tengo.Float{Value: math.Inf(-1)}, &tengo.Float{Value: 1e300}, &tengo.Float{Value: 0.5},
		text(""), text("a"), text("ab,cd,é"), text("\xff\x00"), text("(a)?b|[é-"), text("(a)?b"), text("%[1]*d%v%"),
		text(`{"a": [1, "b"]}`), text("http://a.example/?b c#"), text("2006-01-02"), text("$1$1$1"),
		text(strings.Repeat("é ", testStringBytes/3)), text(strings.Repeat("[", testStringBytes)),
		&tengo.Bytes{}, &tengo.Bytes{Value: []byte("\xff\x00b")}, &tengo.Bytes{Value: make([]byte, testStringBytes)},
		&tengo.Char{Value: -1}, &tengo.Char{Value: 'x'},
		&tengo.Array{}, &tengo.Array{Value: list}, &tengo.ImmutableArray{Value: list},
		&tengo.Map{}, &tengo.Map{Value: members}, &tengo.ImmutableMap{Value: members},
		&tengo.Time{}, &tengo.Time{Value: time.Unix(1<<60, 0)}, &tengo.Error{Value: text("e")}, &tengo.Error{Value: tengo.UndefinedValue},
		&tengo.UserFunction{Name: "f", Value: func(...tengo.Object) (tengo.Object, error) { return nil, nil }},
	}
}

// fault calls a function, and says what it did that it must not do.
func fault(function *tengo.UserFunction, args []tengo.Object) (wrong string) {
	defer func() {
		if value := recover(); value != nil {
			wrong = fmt.Sprintf("it panicked: %v", value)
		}
	}()
	begin := processorTime()
	result, err := function.Call(args...)
	if took := processorTime() - begin; took > patience {
		return fmt.Sprintf("it took %v", took)
	}
	if err != nil && len(err.Error()) > 10*testStringBytes {
		return fmt.Sprintf("its error has %d bytes", len(err.Error()))
	}
	if err == nil && result != nil {
		return tooMuch(result)
	}
	return ""
}

func tooMuch(value tengo.Object) string {
	if err := checkLength(value); err != nil {
		return err.Error()
	}
	if values, ok := containers.Elements(value); ok && len(values) > testElements {
		return fmt.Sprintf("it made an array of %d elements", len(values))
	}
	if members, ok := containers.Entries(value); ok && len(members) > testElements {
		return fmt.Sprintf("it made a map of %d members", len(members))
	}
	return ""
}

func TestNoArgumentsMakeAFunctionPanicOrItsAnswerTooLarge(t *testing.T) {
	values := strange()
	random := rand.New(rand.NewSource(1))
	for _, path := range functionPaths() {
		run := newRun(t)
		function := callable(t, run, path)
		try := func(args ...tengo.Object) {
			if path == "times.sleep" {
				return // for ever, until its run ends
			}
			run.Answer = Answer{}
			if wrong := fault(function, args); wrong != "" {
				t.Errorf("%s(%s): %s", path, shown(args), wrong)
			}
		}
		try()
		for _, first := range values {
			try(first)
			for _, second := range values {
				try(first, second)
			}
		}
		for range 500 {
			args := make([]tengo.Object, 3+random.Intn(6))
			for i := range args {
				args[i] = values[random.Intn(len(values))]
			}
			try(args...)
		}
	}
}

// shown shows arguments in short.
func shown(args []tengo.Object) string {
	var texts []string
	for _, arg := range args {
		texts = append(texts, fmt.Sprintf("%s %.60q", arg.TypeName(), arg.String()))
	}
	return strings.Join(texts, ", ")
}
