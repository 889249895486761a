// Package scaffold writes the first rules of a pipeline: a bot, a role and a token
// rule, with comments, from what the settings pages of its CI system show. It knows
// what is asked for, where a person finds it, and what people paste in its place.
package scaffold
