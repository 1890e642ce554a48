package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	maxDepth    = 32  // levels of nesting
	maxDigits   = 40  // characters of a number before its exponent
	maxExponent = 400 // of a number, either way: floating point ends before
	maxPlain    = 19  // digits of a whole number: those of the largest that Go's integers hold
)

var errBeyond = errors.New("it has a number beyond all bounds")

// parse decodes one JSON document strictly: no member twice, nothing behind it,
// not too deep. Whole numbers are in plain digits, however they were written:
// what the contract takes for an integer is one to Go as well.
func parse(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := value(dec, 0)
	if err != nil {
		return nil, words(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind its end")
	}
	return v, nil
}

func value(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it nests deeper than %d levels", maxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		if n, isNumber := tok.(json.Number); isNumber {
			return number(n.String())
		}
		return tok, nil
	}
	if delim == '[' {
		list := []any{}
		for dec.More() {
			v, err := value(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	object := map[string]any{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key := name.(string) // the decoder allows nothing else here
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("it has the member %q twice", key)
		}
		if object[key], err = value(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return object, err
}

// number is a number that can be compared exactly without harm: whoever does so
// writes out all its digits, and the schema's check takes a number that it cannot
// write out for one that is there.
func number(written string) (json.Number, error) {
	mantissa, exponent, scaled := strings.Cut(strings.ToLower(written), "e")
	e := 0
	if scaled {
		var err error
		if e, err = strconv.Atoi(exponent); err != nil || e < -maxExponent || e > maxExponent {
			return "", errBeyond
		}
	}
	if len(mantissa) > maxDigits {
		return "", errBeyond
	}
	return json.Number(plain(written, mantissa, e)), nil
}

// plain writes a whole number of up to 19 digits without a point or an exponent,
// and leaves every other as it was written.
func plain(written, mantissa string, exponent int) string {
	unsigned, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(unsigned, ".")
	exponent -= len(fraction)
	digits := strings.TrimLeft(whole+fraction, "0")
	for exponent < 0 && strings.HasSuffix(digits, "0") {
		digits, exponent = digits[:len(digits)-1], exponent+1
	}
	switch {
	case digits == "":
		return "0"
	case exponent < 0 || len(digits)+exponent > maxPlain:
		return written
	case negative:
		digits = "-" + digits
	}
	return digits + strings.Repeat("0", exponent)
}

// words says what a decoder found.
func words(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends too early")
	case errors.As(err, &syntax):
		return fmt.Errorf("%s at byte %d", syntax.Error(), syntax.Offset)
	}
	return err
}
