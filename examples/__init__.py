"""Scripts that tell a story from top to bottom; installed as ``minifer.examples``."""
