// Package rotation says which keys an authority has while one takes the place of
// another: which signs, which servers still or already trust, which is past. It is
// pure: stores keep what it says, internal/kms and internal/localca hold to it, and
// internal/admin leads from one phase to the next.
//
//	settled ──begin──▶ announced ──sign──▶ switched ──finish──▶ settled
//	   ▲                 │      ▲              │
//	   └──────back───────┘      └─────back─────┘
//
// An authority that was never rotated is not stored: it has the key that it was
// deployed with.
package rotation
