"""Measuring image quality."""
