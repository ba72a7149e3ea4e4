package frame

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// FuzzReader holds that any bytes whatever are read to an end, and that what is read is written the same.
func FuzzReader(f *testing.F) {
	known := readDefinition(f)
	for _, each := range slices.Concat(known.Frames, known.ReadOnly, known.Refused) {
		f.Add(unhex(f, each.Hex))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		reader := NewReader(bytes.NewReader(stream))
		var again []byte
		for {
			read, err := reader.Next()
			if err != nil {
				if errors.Is(err, io.EOF) && !bytes.Equal(again, stream) {
					t.Errorf("%x is read as %x", stream, again)
				}
				return
			}
			var meta map[string]any
			_ = read.DecodeMeta(&meta) // it may be wrong, but must not panic
			data, err := read.Encode()
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, data...)
		}
	})
}
