"""Carrying out workflows: components kept in memory, pipelines assembled anew for each step, results written.

Everything here needs the torch stack; nothing here speaks to descriptors or threads of the protocol.
"""
