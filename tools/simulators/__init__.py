"""Stand-ins for the vendors: their documented HTTP APIs, with real videos, and with every fault that can be scripted.

Reading order: scenario, video, simulator, then one of wavespeed and fal.
"""
