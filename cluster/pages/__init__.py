"""The live page, built of NiceGUI's elements: the only folder that knows the toolkit."""
