// Package advisories has a case for each published fault of this field's software, under its number: a
// test against the real parts, or the test elsewhere in the module that holds it, or why it cannot exist
// here. Add a case when a fault is published that could exist here.
package advisories
