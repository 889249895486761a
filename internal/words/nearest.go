package words

// Nearest returns the name that a slip of the finger most likely meant: at most two
// edits away, and fewer than half of the longer name. It returns "" if no name is near.
func Nearest(word string, names []string) string {
	best, bestDistance := "", 3
	for _, name := range names {
		if max(len(word), len(name))-min(len(word), len(name)) >= bestDistance {
			continue
		}
		if d := distance(word, name); d < bestDistance && d*2 < max(len(word), len(name)) {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance counts insertions, deletions and substitutions (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
