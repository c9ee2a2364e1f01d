"""Recipes: scripts that compose tfkit from data to a proved model, and their configs."""
