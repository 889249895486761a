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

// distance counts insertions, deletions, substitutions, and swaps of two neighbours
// (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j], rows[i][j-1], rows[i-1][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
