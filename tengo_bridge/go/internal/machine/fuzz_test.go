package machine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/d5/tengo/v2"
)

// FuzzAgainstTengo runs whatever compiles on both machines. Where Tengo has no answer, ours needs only to stop.
func FuzzAgainstTengo(f *testing.F) {
	for _, source := range programs {
		f.Add(source)
	}
	tengo.MaxStringLen, tengo.MaxBytesLen = 1<<20, 1<<20
	f.Fuzz(func(t *testing.T, source string) {
		if comparable(source) {
			compareOnBoth(t, source)
		}
	})
}

// comparable leaves out what differs from run to run, and what ends Tengo's process.
func comparable(source string) bool {
	for _, each := range []string{"times", "range", "json", "1e", "time("} {
		if strings.Contains(source, each) {
			return false
		}
	}
	return len(source) < 2000
}

func compareOnBoth(t *testing.T, source string) {
	program, err := compile(source)
	if err != nil || program.globals > tengo.GlobalsSize {
		return
	}
	const allocations, patience = 20_000, 2 * time.Second
	ours := program.onOurs(allocations, patience)
	if ours.late {
		return
	}
	if unlike(ours.message) {
		return
	}
	theirs := program.onTengo(allocations, patience)
	if theirs.late || unlike(theirs.message) || unordered(ours.globals) {
		return
	}
	if ours.message != theirs.message || ours.message != "stack overflow" && !slices.Equal(ours.places, theirs.places) {
		t.Fatalf("%s\nTengo: %q at %.10q\n ours: %q at %.10q", source, theirs.message, theirs.places, ours.message, ours.places)
	}
	if ours.message != "stack overflow" && ours.globals != theirs.globals {
		t.Fatalf("%s\nTengo: %s\n ours: %s", source, theirs.globals, ours.globals)
	}
}

// unlike tells the messages of what our machine does on purpose in another way than Tengo's.
func unlike(message string) bool {
	return strings.Contains(message, "the value") || strings.Contains(message, "limits.") || strings.HasPrefix(message, "internal error")
}

// unordered tells whether there is something that comes out in any order.
func unordered(globals string) bool {
	return strings.Contains(globals, "map-iterator")
}
