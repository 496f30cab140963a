"""The steps of a deployment, for the pipeline and for developers: ``python -m infra.deploy STEP``.

They need only Python and the Azure CLI (``az``), signed in: a pipeline's agent has no more.
"""
