// Package qr reads QR codes of screenshots, as a simulated phone scans them.
package qr

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	_ "image/gif"  // a format of pictures that are read
	_ "image/jpeg" // a format of pictures that are read
	_ "image/png"  // a format of pictures that are read
	"math"
	"slices"

	"rsc.io/qr/coding"
)

// errNoCode says that a picture shows no QR code that can be read.
var errNoCode = errors.New("no QR code was found in this picture: an upright screenshot, not a photograph, is read")

// maxPixels bounds the pictures that are read.
const maxPixels = 40_000_000

// Read reads the QR code of a picture in which it stands upright and undistorted, as in a screenshot or a file that
// a program has drawn. It does not correct errors, it only finds out that there are some.
func Read(picture []byte) (string, error) {
	size, _, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil || size.Width*size.Height > maxPixels {
		return "", errors.New("this is no PNG, JPEG or GIF picture of a reasonable size")
	}
	decoded, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return "", errors.New("this picture cannot be read")
	}
	dark := newBitmap(decoded)
	finders := dark.finders()
	for _, corner := range finders {
		for _, right := range finders {
			for _, below := range finders {
				if text, ok := dark.read(corner, right, below); ok {
					return text, nil
				}
			}
		}
	}
	return "", errNoCode
}

// bitmap tells which pixels of a picture are dark.
type bitmap struct {
	width, height int
	dark          []bool
}

func newBitmap(picture image.Image) *bitmap {
	bounds := picture.Bounds()
	b := &bitmap{width: bounds.Dx(), height: bounds.Dy()}
	luminance := make([]uint8, 0, b.width*b.height)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, blue, alpha := picture.At(x, y).RGBA()
			backdrop := 0xffff - alpha // what is transparent stands on white
			grey := color.GrayModel.Convert(color.RGBA64{
				uint16(r + backdrop), uint16(g + backdrop), uint16(blue + backdrop), 0xffff,
			}).(color.Gray)
			luminance = append(luminance, grey.Y)
		}
	}
	if len(luminance) == 0 {
		return b
	}
	middle := (int(slices.Min(luminance)) + int(slices.Max(luminance))) / 2
	for _, value := range luminance {
		b.dark = append(b.dark, int(value) < middle)
	}
	return b
}

func (b *bitmap) at(x, y int) bool {
	return x >= 0 && y >= 0 && x < b.width && y < b.height && b.dark[y*b.width+x]
}

// finder is one of the three large squares of a QR code.
type finder struct {
	x, y   float64 // its centre
	module float64 // the width of one module
}

// finders looks for the squares: dark, light, dark, light, dark in the proportion 1:1:3:1:1 in both directions.
func (b *bitmap) finders() []finder {
	var found []finder
	for y := range b.height {
		var starts []int // where runs begin, in this row
		for x := 0; x <= b.width; x++ {
			if x == 0 || x == b.width || b.at(x, y) != b.at(x-1, y) {
				starts = append(starts, x)
			}
		}
		for i := 0; i+5 < len(starts); i++ {
			if !b.at(starts[i], y) || !proportioned(starts[i:i+6]) {
				continue
			}
			module := float64(starts[i+5]-starts[i]) / 7
			x := float64(starts[i]+starts[i+5]) / 2
			top, bottom, ok := b.column(int(x), y)
			if !ok || math.Abs(float64(bottom-top)-7*module) > module {
				continue
			}
			candidate := finder{x, float64(top+bottom) / 2, module}
			if !slices.ContainsFunc(found, candidate.near) {
				found = append(found, candidate)
			}
		}
	}
	return found
}

func (f finder) near(other finder) bool {
	return math.Abs(f.x-other.x) < 2*f.module && math.Abs(f.y-other.y) < 2*f.module
}

func proportioned(edges []int) bool {
	module := float64(edges[5]-edges[0]) / 7
	for i, wanted := range []float64{1, 1, 3, 1, 1} {
		if math.Abs(float64(edges[i+1]-edges[i])-wanted*module) > 0.6*module {
			return false
		}
	}
	return true
}

// column finds the edges of a square above and below a point inside it.
func (b *bitmap) column(x, y int) (top, bottom int, ok bool) {
	edges := []int{0, 0, 0, 0, 0, 0}
	up, down := y, y
	for i, wanted := range []bool{true, false, true} {
		for up >= 0 && b.at(x, up) == wanted {
			up--
		}
		for down < b.height && b.at(x, down) == wanted {
			down++
		}
		edges[2-i], edges[3+i] = up+1, down
	}
	return edges[0], edges[5], proportioned(edges)
}

// read reads the code between three squares, if it is one.
func (b *bitmap) read(corner, right, below finder) (string, bool) {
	module := corner.module
	width, height := right.x-corner.x, below.y-corner.y
	if width < 10*module || math.Abs(right.y-corner.y) > module || math.Abs(below.x-corner.x) > module ||
		math.Abs(width-height) > 2*module {
		return "", false
	}
	version := int(math.Round((width/module + 7 - 17) / 4))
	if version < coding.MinVersion || version > coding.MaxVersion {
		return "", false
	}
	size := 4*version + 17
	modules := make([][]bool, size)
	for row := range modules {
		for column := range size {
			x := corner.x + float64(column-3)*width/float64(size-7)
			y := corner.y + float64(row-3)*height/float64(size-7)
			modules[row] = append(modules[row], b.at(int(x), int(y)))
		}
	}
	for level := coding.L; level <= coding.H; level++ {
		for mask := coding.Mask(0); mask < 8; mask++ {
			if plan, err := coding.NewPlan(coding.Version(version), level, mask); err == nil {
				if text, ok := decodeModules(plan, modules); ok {
					return text, true
				}
			}
		}
	}
	return "", false
}

// decodeModules reads the text of a code by a plan of what each module means. It fails unless the check bytes are
// those of the data, which they can only be under the right plan.
func decodeModules(plan *coding.Plan, modules [][]bool) (string, bool) {
	content := make([]byte, plan.DataBytes+plan.CheckBytes)
	for y, row := range plan.Pixel {
		for x, pixel := range row {
			if role := pixel.Role(); role != coding.Data && role != coding.Check {
				continue
			}
			if modules[y][x] != (pixel&coding.Black != 0) {
				offset := pixel.Offset()
				content[offset/8] |= 1 << (7 - offset&7)
			}
		}
	}
	var bits coding.Bits
	bits.Append(content[:plan.DataBytes])
	bits.AddCheckBytes(plan.Version, plan.Level)
	if !bytes.Equal(bits.Bytes(), content) {
		return "", false
	}
	return parseSegments(plan.Version, content[:plan.DataBytes])
}

// bitReader takes bits off the front of bytes; past the end they are 0.
type bitReader struct {
	data     []byte
	position int
}

func (r *bitReader) take(count int) (value int) {
	for range count {
		value <<= 1
		if r.position/8 < len(r.data) {
			value |= int(r.data[r.position/8]>>(7-r.position%8)) & 1
		}
		r.position++
	}
	return value
}

// parseSegments reads the text out of the data of a code: segments of digits, of capitals and digits, or of bytes.
func parseSegments(version coding.Version, data []byte) (string, bool) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	class := 0
	if version > 26 {
		class = 2
	} else if version > 9 {
		class = 1
	}
	r, text := bitReader{data: data}, []byte{}
	for r.position < 8*len(data) {
		switch r.take(4) {
		case 0:
			return string(text), true
		case 1:
			for count := r.take([]int{10, 12, 14}[class]); count > 0; count -= 3 {
				digits := min(count, 3)
				value := r.take([]int{0, 4, 7, 10}[digits])
				for place := digits - 1; place >= 0; place-- {
					text = append(text, byte('0'+value/int(math.Pow10(place))%10))
				}
			}
		case 2:
			for count := r.take([]int{9, 11, 13}[class]); count > 0; count -= 2 {
				if count == 1 {
					text = append(text, alphabet[r.take(6)%45])
				} else {
					pair := r.take(11)
					text = append(text, alphabet[pair/45%45], alphabet[pair%45])
				}
			}
		case 4:
			for range r.take([]int{8, 16, 16}[class]) {
				text = append(text, byte(r.take(8)))
			}
		case 7:
			r.take(8) // which character set: the text is ASCII in any
		default:
			return "", false
		}
	}
	return string(text), true
}
