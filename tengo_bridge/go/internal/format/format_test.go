package format

import (
	"strings"
	"testing"
)

func TestDirectivesThatNameTheirArgumentAreCounted(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "100%": 0, "[1]": 0, "%d [%s]": 0, "%[1]d": 1, "%+-5.2[1]d%[": 2, "%*[1]d": 1, "%%[1]": 1, "%5%[": 1, "%d%[2]d": 1,
	} {
		if got := numbered(text); got != want {
			t.Errorf("%q has %d, not %d", text, got, want)
		}
	}
}

func TestAFormatMayNumberAThousandArguments(t *testing.T) {
	if err := Check(strings.Repeat("%[1]d", maxNumbered)); err != nil {
		t.Error(err)
	}
	if err := Check(strings.Repeat("%[", maxNumbered+1)); err == nil || err.Error() != "a format may number 1000 arguments" {
		t.Error(err)
	}
}
