package unused

// Broken names something that is not there.
func Broken() int { return missing }
