package table

// Style is a colour of the terminal, by what it tells.
type Style int

// The styles.
const (
	Plain Style = iota
	Dim
	Good
	Bad
	Busy
	Strong
)

var codes = map[Style]string{Dim: "2", Good: "32", Bad: "31", Busy: "33", Strong: "1"}

// Paint returns the text in a style, or as it is when colour is not set.
func Paint(text string, s Style, colour bool) string {
	code := codes[s]
	if !colour || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
