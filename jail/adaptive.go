package jail

// AdaptiveConfig has the knobs of the adaptive detector.
type AdaptiveConfig struct{}
