package cli

import "github.com/gatepass-ci/gatepass/internal/client/credentials"

const alsoHelp = "another output of the same join: TYPE,FLAG=VALUE,… with that output's flags; repeatable"

// parseAlso reads --also: database,destination=./db,username=app.
func parseAlso(text string) (*credentials.Wish, error) {
	return credentials.ParseWish(text, "--also", "--also database,destination=./db,username=app")
}

// wishesOf are the output of a command and those of its --also flags.
func wishesOf(first *credentials.Wish, also []string) ([]*credentials.Wish, error) {
	wishes := []*credentials.Wish{first}
	for _, text := range also {
		w, err := parseAlso(text)
		if err != nil {
			return nil, err
		}
		wishes = append(wishes, w)
	}
	return wishes, nil
}

func makeOutputs(wishes []*credentials.Wish) ([]*credentials.Output, error) {
	var outputs []*credentials.Output
	for _, w := range wishes {
		made, err := w.Output()
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, made)
	}
	return outputs, nil
}
