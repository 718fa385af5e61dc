"""Images of the processes, built and run on one machine by podman and buildah, without a registry or a cluster.

Reading order: __main__, needed_programs, container_engine, base_image, image_build, pod_manifests, installation.
"""
