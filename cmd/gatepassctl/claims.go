package main

import "encoding/json"

// readClaims reads the JSON of an ID token's payload, or the report of gatepass
// doctor that has it: a job prints that without its token.
func (c *cli) readClaims(path string) ([]byte, error) {
	data, err := c.readInput(path)
	if err != nil {
		return nil, err
	}
	var report struct {
		Checks []json.RawMessage `json:"checks"`
		Claims json.RawMessage   `json:"claims"`
	}
	if err := json.Unmarshal(data, &report); err == nil && report.Checks != nil && report.Claims != nil {
		return report.Claims, nil
	}
	return data, nil
}
