"""Scripts that ship an exported model."""
