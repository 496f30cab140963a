"""What must hold of the cloud part: policies on deployments as the Bicep compiler predicts them.

``python -m infra.policy`` checks, ``python -m infra.policy update`` writes the snapshots anew.
"""
