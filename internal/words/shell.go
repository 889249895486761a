package words

import "strings"

// ShellQuote writes any text as one word of a POSIX shell, in single quotes.
func ShellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// ShellWord is ShellQuote for commands that people copy: a plain path or name goes
// without quotes.
func ShellWord(s string) string {
	if Plain(s, "/._-+:,@%=") {
		return s
	}
	return ShellQuote(s)
}

// ShellLine is a command as people type it, each of its words a ShellWord.
func ShellLine(command []string) string {
	line := make([]string, len(command))
	for i, word := range command {
		line[i] = ShellWord(word)
	}
	return strings.Join(line, " ")
}
