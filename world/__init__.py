"""The small trained world: a diffusion model small enough to train on a CPU, in which fusion can be measured.

Development only: never in the published archive, never imported by the pack.
"""
