-- What viewers may know of a job's spec: options by name, never the values of --env. Whoever adds an option that a page
-- is to show replaces this function; rows that are there already had no such option.
CREATE FUNCTION job_options(spec jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'first_parent', spec->'first_parent',
        'fixed',        spec->'fixed',
        'runs',         spec->'runs',
        'confidence',   spec->'confidence',
        'paths',        spec->'paths',
        'skip',         spec->'skip',
        'skip_ranges',  spec->'skip_ranges',
        'network',      spec->'network',
        'silence',      spec->'silence',
        'env', jsonb_path_query_array(spec, 'strict $.env[*] ? (@.type() == "array" && @.size() == 2)[0]', silent => true)))
$$;

-- pulls: the pull requests that brought the culprit or the suspects, by commit, once GitHub has told them (null before).
ALTER TABLE bisect_jobs
    ADD COLUMN options jsonb GENERATED ALWAYS AS (job_options(spec)) STORED,
    ADD COLUMN pulls   jsonb;
GRANT SELECT (options, pulls) ON bisect_jobs TO bisect_dashboard;
