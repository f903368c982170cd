package qr

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"rsc.io/qr/coding"
)

// draw makes a picture of a code: with this many pixels a module, this far from the corner.
func draw(t *testing.T, encoding coding.Encoding, version coding.Version, level coding.Level, scale, margin int) []byte {
	t.Helper()
	plan, err := coding.NewPlan(version, level, 5)
	if err != nil {
		t.Fatal(err)
	}
	code, err := plan.Encode(encoding)
	if err != nil {
		t.Fatal(err)
	}
	side := code.Size*scale + 2*margin
	picture := image.NewRGBA(image.Rect(0, 0, side+57, side+13))
	for i := range picture.Pix {
		picture.Pix[i] = 0xff
	}
	for y := range code.Size * scale {
		for x := range code.Size * scale {
			if code.Black(x/scale, y/scale) {
				picture.Set(x+margin, y+margin, color.RGBA{0x10, 0x20, 0x30, 0xff})
			}
		}
	}
	var file bytes.Buffer
	if err = png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestAPictureOfACodeIsRead(t *testing.T) {
	linking := "https://wa.me/settings/linked_devices#2@ABC," + strings.Repeat("k7+/", 33) + ",1"
	for _, c := range []struct {
		encoding coding.Encoding
		text     string
		version  coding.Version
		level    coding.Level
		scale    int
	}{
		{coding.String(linking), linking, 10, coding.L, 3},
		{coding.String(linking), linking, 15, coding.M, 8},
		{coding.String(linking), linking, 27, coding.H, 2},
		{coding.Num("0123456789"), "0123456789", 2, coding.Q, 5},
		{coding.Alpha("SANDBOX 123"), "SANDBOX 123", 1, coding.L, 11},
	} {
		got, err := Read(draw(t, c.encoding, c.version, c.level, c.scale, 4*c.scale))
		if err != nil || got != c.text {
			t.Errorf("version %d, level %d, scale %d: %q, %v", c.version, c.level, c.scale, got, err)
		}
	}
}

func TestAPictureWithoutACodeIsRefused(t *testing.T) {
	var empty bytes.Buffer
	if err := png.Encode(&empty, image.NewGray(image.Rect(0, 0, 300, 200))); err != nil {
		t.Fatal(err)
	}
	damaged := draw(t, coding.String("hello"), 2, coding.L, 4, 16)
	for what, picture := range map[string][]byte{"black": empty.Bytes(), "no picture": []byte("GIF89a"), "none": nil, "cut": damaged[:len(damaged)/2]} {
		if text, err := Read(picture); err == nil {
			t.Errorf("%s: read %q", what, text)
		}
	}
}
