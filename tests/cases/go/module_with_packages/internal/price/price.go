// Package price adds taxes.
package price

// WithTax is the price with its tax.
func WithTax(cents int) int { return cents + cents*19/100 }
