// Package format keeps Tengo's formatting, which the builtin function and modules share, from taking time beyond measure.
package format

import (
	"fmt"
	"strings"
)

// maxNumbered bounds the directives of a format that name their argument, since for each of them the format may be read to
// its end.
const maxNumbered = 1000

// Check refuses a format with more directives that name their argument, such as %[1]d, than can be looked up in good time.
func Check(text string) error {
	if numbered(text) > maxNumbered {
		return fmt.Errorf("a format may number %d arguments", maxNumbered)
	}
	return nil
}

func numbered(text string) (count int) {
	for {
		_, directive, found := strings.Cut(text, "%")
		if !found {
			return count
		}
		text = strings.TrimLeft(directive, "+-# 0123456789.*")
		if strings.HasPrefix(text, "[") {
			count++
		}
	}
}
