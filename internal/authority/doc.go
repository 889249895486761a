// Package authority is all of an authority's life: what it may sign, which of its
// keys signs, which keys servers trust, what is published of them, how one key takes
// the place of another, and which of its certificates are revoked. It is pure: key
// rings (internal/kms, internal/localca) keep the keys, stores keep the State of an
// authority that was rotated, and internal/join signs.
//
// A rotation has phases:
//
//	settled ──begin──▶ announced ──sign──▶ switched ──finish──▶ settled
//	   ▲                 │      ▲              │
//	   └──────back───────┘      └─────back─────┘
//
// An authority that was never rotated is not stored: it has the key that it was
// deployed with.
package authority
